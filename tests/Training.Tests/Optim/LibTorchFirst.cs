using System.Runtime.CompilerServices;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Tests.Optim;

/// <summary>
/// A test may touch torch before it touches anything of ours; TorchSharp's own loader would then run, and fail where ours does not.
/// </summary>
internal static class LibTorchFirst
{
    [ModuleInitializer]
    internal static void Load() => LibTorch.Load();
}

using System.Runtime.CompilerServices;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Tests;

/// <summary>A test's first line may be a torch call: nothing of ours has run by then, and TorchSharp's own loader would fail.</summary>
internal static class LibTorchSetup
{
    [ModuleInitializer]
    internal static void Load() => LibTorch.Load();
}

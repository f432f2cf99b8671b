using System.Runtime.CompilerServices;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Tests.Model;

internal static class LibTorchSetup
{
#pragma warning disable CA2255 // A test's first line may be a torch call: nothing of ours has run by then.
    [ModuleInitializer]
    internal static void Load() => LibTorch.Load();
#pragma warning restore CA2255
}

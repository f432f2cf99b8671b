using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Tests.Native;

public sealed class NvidiaDriverTests
{
    [Theory]
    [InlineData("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version:\n", "550.54.15")]
    [InlineData("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\n", "580.95.05")]
    [InlineData("GCC version:  gcc version 12.3.0 (Ubuntu)\n", null)]
    public void Its_version_is_found_in_what_the_kernel_says(string text, string? version) =>
        Assert.Equal(version, NvidiaDriver.Find(text));
}

using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Tests.Native;

/// <summary>Over nvml.c, which stands in for the driver's library.</summary>
public sealed class NvmlTests
{
    [Fact]
    public void A_device_s_memory_is_told_by_its_bus_and_of_another_nothing()
    {
        var nvml = new Nvml(StandIn());

        Assert.Equal((70, 80), nvml.Memory("0000:17:00.0"));
        Assert.Null(nvml.Memory("0000:18:00.0"));
    }

    [Fact]
    public void A_library_that_is_another_one_is_refused() =>
        Assert.Contains("lacks nvml", Assert.Throws<LibTorchException>(() => new Nvml(NativeLibrary.GetMainProgramHandle())).Message);

    private static nint StandIn([CallerFilePath] string here = "")
    {
        var file = Path.Combine(Path.GetTempPath(), $"phi3v-nvml-{Guid.NewGuid():N}.so");
        try
        {
            using var compiler = Process.Start("cc", ["-shared", "-fPIC", "-Wall", "-Werror", "-o", file,
                Path.Combine(Path.GetDirectoryName(here)!, "nvml.c")]);
            compiler.WaitForExit();
            Assert.Equal(0, compiler.ExitCode);
            return NativeLibrary.Load(file);
        }
        catch (System.ComponentModel.Win32Exception missing)
        {
            Assert.Skip($"the stand-in for NVML needs a C compiler: {missing.Message}");
            throw;
        }
        finally
        {
            File.Delete(file);
        }
    }
}

using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Phi3VCluster.Training.Native.Kernels;

namespace Phi3VCluster.Training.Tests.Native.Kernels;

/// <summary>
/// The kernels' own source, compiled as C++ with emulation.h before it, over host memory. Slow: a thread for each of theirs.
/// </summary>
internal sealed unsafe partial class EmulatedModule : IKernelModule
{
    private static readonly Lock OneAtATime = new(); // what is shared within a block is static
    private static readonly Lazy<(nint Library, string Reason)> Compiled = new(Compile);

    private readonly delegate* unmanaged<byte*, int, int, ulong*, int> _emulate;

    public EmulatedModule()
    {
        Assert.SkipWhen(Compiled.Value.Library == 0, Compiled.Value.Reason);
        _emulate = (delegate* unmanaged<byte*, int, int, ulong*, int>)NativeLibrary.GetExport(Compiled.Value.Library, "emulate");
    }

    public void Launch(string kernel, long blocks, int threads, params ReadOnlySpan<ulong> arguments)
    {
        var name = Marshal.StringToCoTaskMemUTF8(kernel);
        try
        {
            lock (OneAtATime)
                fixed (ulong* slots = arguments)
                    if (_emulate((byte*)name, (int)blocks, threads, slots) != 0)
                        throw new InvalidOperationException($"there is no kernel {kernel}");
        }
        finally
        {
            Marshal.FreeCoTaskMem(name);
        }
    }

    private static (nint Library, string Reason) Compile()
    {
        var folder = Directory.CreateTempSubdirectory("phi3v-kernels-").FullName;
        try
        {
            var (source, target) = (Path.Combine(folder, "kernels.cpp"), Path.Combine(folder, "kernels.so"));
            var kernels = CudaKernels.Source();
            var names = KernelName().Matches(kernels).Select(match => $"KERNEL({match.Groups[1].Value})");
            File.WriteAllText(source, $"#include \"{Header()}\"\n{kernels}\n{string.Join('\n', names)}\n");
            string[] options = ["-std=c++20", "-O1", "-DEMULATED", "-w", "-shared", "-fPIC", "-pthread", "-o", target, source];
            var start = new ProcessStartInfo("c++", options)
            {
                RedirectStandardError = true,
            };
            using var compiler = Process.Start(start)!;
            var words = compiler.StandardError.ReadToEnd();
            compiler.WaitForExit();
            if (compiler.ExitCode != 0) throw new InvalidOperationException($"the kernels do not compile as C++: {words}");
            return (NativeLibrary.Load(target), "");
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return (0, "there is no c++ to compile the kernels with");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string Header([CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "emulation.h");

    [GeneratedRegex(@"__global__ void (\w+)\(")]
    private static partial Regex KernelName();
}

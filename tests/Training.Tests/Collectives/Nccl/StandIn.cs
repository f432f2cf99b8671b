using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;
using TorchSharp;

namespace Phi3VCluster.Training.Tests.Collectives.Nccl;

/// <summary>
/// NCCL and CUDA streams on host memory, compiled from standin.c. Each instance is a library of its own: tests run beside each other.
/// What the stand-in took for misuse fails the test that disposes it.
/// </summary>
internal sealed unsafe class StandIn : ICollectiveBackend, IDisposable
{
    private static readonly Lazy<(string? File, string Reason)> Compiled = new(Compile);

    private readonly nint _library;
    private readonly NcclLibrary _nccl;
    private int _devices;

    public StandIn()
    {
        Assert.SkipWhen(Compiled.Value.File is null, Compiled.Value.Reason);
        var own = Path.Combine(Path.GetTempPath(), $"phi3v-standin-{Guid.NewGuid():N}.so"); // the same file would be the same library
        File.Copy(Compiled.Value.File!, own);
        _library = NativeLibrary.Load(own);
        File.Delete(own);
        _nccl = new(_library, "standin");
    }

    public string Name => "nccl";

    public int MaxWorldSize => 16;

    /// <summary>Tensors of this memory are NCCL's: the CPU's, unless a test wants them to go over the host ring.</summary>
    public DeviceType Memory { get; init; } = DeviceType.CPU;

    /// <summary>Communicators, streams and events that have not been freed.</summary>
    public int Alive => ((delegate* unmanaged<int>)Export("standin_alive"))();

    /// <summary>Kernels that met one of another call: the ranks' order differed.</summary>
    public int Disagreements => ((delegate* unmanaged<int>)Export("standin_disagreements"))();

    public string Misuse => Marshal.PtrToStringUTF8((nint)((delegate* unmanaged<byte*>)Export("standin_misuse"))())!;

    public ICollectiveEndpoint Open(string host, int? cudaDevice = null, IPeerTls? tls = null)
    {
        var device = cudaDevice ?? Interlocked.Increment(ref _devices);
        return new NcclEndpoint(host, new(_nccl, Streams(device), Memory), tls: tls, isLocalToo: tls is null);
    }

    /// <summary>As <c>auto</c> opens it: without a device where this machine has none.</summary>
    public ICollectiveEndpoint OpenOrTcp(int? device) => new NcclEndpoint("127.0.0.1",
        device is { } some ? new(_nccl, Streams(some), Memory) : null, device is null ? "it was left at home" : "", orTcp: true);

    public CudaStreams Streams(int device) => new(_library, device);

    /// <summary>How long a call says that it is in progress.</summary>
    public void SettleAfter(TimeSpan delay) => Set("standin_settle_after", delay);

    public void AbortTakes(TimeSpan delay) => Set("standin_abort_takes", delay);

    /// <summary>From that operation on the rank's kernels do not end, and its communicator reports a remote error.</summary>
    public void Fail(int rank, int operation) => ((delegate* unmanaged<int, int, void>)Export("standin_fail"))(rank, operation);

    /// <summary>What libtorch puts on the calling thread's stream.</summary>
    public void UseStream(nint stream) => ((delegate* unmanaged<nint, void>)Export("standin_use_stream"))(stream);

    /// <summary>Work of libtorch's on a stream: after a while the numbers are these.</summary>
    public void FillLater(nint stream, nint data, long count, float value, TimeSpan delay) =>
        ((delegate* unmanaged<nint, nint, long, float, int, void>)Export("standin_fill_later"))(
            stream, data, count, value, (int)delay.TotalMicroseconds);

    public void Dispose() => Assert.Equal("", Misuse); // the library stays: threads of it may still be about to return

    private void Set(string name, TimeSpan delay) => ((delegate* unmanaged<int, void>)Export(name))((int)delay.TotalMicroseconds);

    private nint Export(string name) => NativeLibrary.GetExport(_library, name);

    private static (string? File, string Reason) Compile()
    {
        var target = Path.Combine(AppContext.BaseDirectory, $"standin-{Environment.ProcessId}.so");
        var start = new ProcessStartInfo("cc", ["-shared", "-fPIC", "-pthread", "-O2", "-Wall", "-Werror", "-o", target, Source()]);
        try
        {
            using var compiler = Process.Start(start)!;
            compiler.WaitForExit();
            AppDomain.CurrentDomain.ProcessExit += (_, _) => File.Delete(target);
            return compiler.ExitCode == 0
                ? (target, "")
                : throw new InvalidOperationException($"cc could not compile {Source()}; see its output");
        }
        catch (System.ComponentModel.Win32Exception missing)
        {
            return (null, $"the stand-in for NCCL needs a C compiler: {missing.Message}");
        }
    }

    private static string Source([CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "standin.c");
}

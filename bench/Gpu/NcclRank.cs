using System.Diagnostics;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Gpu;

/// <summary>
/// One of two ranks on one GPU, in a process that takes itself for another host: sums compared with the TCP ring's, then the other rank is
/// killed. Says its address, hears both, and answers each line it reads with one of its own.
/// </summary>
internal static class NcclRank
{
    public const string Verb = "gpu-nccl-rank";

    private const long Count = 16 << 20;

    public static int Run(int rank)
    {
        GpuTensors.Begin();
        using var endpoint = new NcclBackend().Open("127.0.0.1", cudaDevice: 0);
        using var tcp = new TcpBackend().Open("127.0.0.1", cudaDevice: null);
        Say(endpoint.Address);
        Say(tcp.Address);
        string[] heard = [.. Enumerable.Range(0, 4).Select(_ => Console.ReadLine()!)];
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        using var ring = tcp.Connect(1, rank, [heard[1], heard[3]], patience.Token);
        using var nccl = endpoint.Connect(1, rank, [heard[0], heard[2]], patience.Token);

        using var host = randn(Count, generator: new Generator((ulong)rank));
        using var expected = host.clone();
        ring.AllReduce(expected);
        var (once, seconds) = Sum(nccl, host);
        var (again, _) = Sum(nccl, host);
        var isSame = once.Equals(again) || once.sub(again).abs().max().item<float>() == 0;
        Say(FormattableString.Invariant($"{GpuTensors.Distance(once, expected):0.0e+0} {isSame} {seconds:f3}"));

        Console.ReadLine(); // the other one is dead now
        var start = Stopwatch.GetTimestamp();
        try
        {
            Sum(nccl, host);
            Say("nothing was noticed");
        }
        catch (CollectiveException broken)
        {
            Say(FormattableString.Invariant($"{Stopwatch.GetElapsedTime(start).TotalSeconds:f2} s: {broken.Message}"));
        }
        using var alone = new NcclBackend().Open("127.0.0.1", cudaDevice: 0);
        using var next = alone.Connect(2, 0, [alone.Address], patience.Token);
        Say(FormattableString.Invariant($"{GpuTensors.Distance(Sum(next, host).Result, host):0.0e+0}"));
        return 0;
    }

    private static (Tensor Result, double Seconds) Sum(ICollective nccl, Tensor host)
    {
        var buffer = host.to(GpuTensors.Gpu);
        cuda.synchronize();
        var start = Stopwatch.GetTimestamp();
        nccl.ReduceScatter(buffer);
        nccl.AllGather(buffer);
        cuda.synchronize();
        return (buffer.cpu(), Stopwatch.GetElapsedTime(start).TotalSeconds);
    }

    private static void Say(string line)
    {
        Console.WriteLine("> " + line);
        Console.Out.Flush();
    }
}

using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Phi3VCluster.Bench.AllReduce;

/// <summary>PyTorch's gloo on the same cases: one python process a rank, one thread each.</summary>
internal sealed class GlooPeer
{
    private readonly bool _present;

    public GlooPeer(bool wanted)
    {
        if (!wanted) return;
        _present = DebianPython.Has("torch.distributed");
        if (!_present) Absence = "python3-torch not installed";
    }

    /// <summary>Null if there is nothing to compare with.</summary>
    public string? Name => _present ? "gloo" : null;

    /// <summary>Why there is no peer, if one was wanted.</summary>
    public string? Absence { get; }

    /// <returns>Median seconds, case by case; null without a peer.</returns>
    public double[]? Measure(int ranks)
    {
        if (!_present) return null;
        var port = FreePort();
        var workers = Enumerable.Range(0, ranks).Select(rank => Start(rank, ranks, port)).ToArray();
        try
        {
            return AllReduceBenchmark.ReadSeconds(workers[0]);
        }
        finally
        {
            Array.ForEach(workers, AllReduceBenchmark.End);
        }
    }

    private static Process Start(int rank, int ranks, int port)
    {
        var cases = AllReduceCase.All.Select(one => $"{one.Bytes}:{one.WarmUps}:{one.Repetitions}");
        var start = DebianPython.Script("gloo_allreduce.py", cases);
        start.Environment["RANK"] = rank.ToString(CultureInfo.InvariantCulture);
        start.Environment["WORLD_SIZE"] = ranks.ToString(CultureInfo.InvariantCulture);
        start.Environment["MASTER_ADDR"] = "127.0.0.1";
        start.Environment["MASTER_PORT"] = port.ToString(CultureInfo.InvariantCulture);
        start.Environment["OMP_NUM_THREADS"] = "1";
        return Process.Start(start)!;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}

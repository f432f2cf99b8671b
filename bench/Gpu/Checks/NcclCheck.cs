using System.Diagnostics;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Gpu.Checks;

/// <summary>NCCL with one GPU: alone, and two processes that take each other for other hosts, one of which is killed.</summary>
internal sealed class NcclCheck : IGpuCheck
{
    public string Name => "nccl";

    public int Order => 6;

    public IEnumerable<GpuRow> Run()
    {
        GpuTensors.Begin();
        var library = NcclLibrary.Load(out var reason);
        yield return new("library", library is not null, library is null ? reason ?? "not found" : $"{library.Version}");
        using (var endpoint = new NcclBackend().Open("127.0.0.1", cudaDevice: 0))
        using (var alone = endpoint.Connect(1, 0, [endpoint.Address], CancellationToken.None))
        using (var x = GpuTensors.Random(ScalarType.Float32, 1 << 20))
        using (var before = x.clone())
        {
            alone.AllReduce(x);
            alone.ReduceScatter(x);
            alone.AllGather(x);
            yield return GpuTensors.Compare("one rank's sum is what it has", x, before, 0);
        }
        using Process first = Start(0, "a"), second = Start(1, "b");
        string[] addresses = [Hear(first), Hear(first), Hear(second), Hear(second)];
        foreach (var rank in (Process[])[first, second])
            foreach (var address in addresses) rank.StandardInput.WriteLine(address);
        string[] sums = [Hear(first), Hear(second)];
        yield return new("two ranks' sum beside the TCP ring's: relative error, same bits twice, seconds",
            sums.All(IsClose), string.Join("; ", sums));
        second.Kill();
        second.WaitForExit();
        first.StandardInput.WriteLine();
        var noticed = Hear(first);
        yield return new("the other rank killed", noticed.Contains(" s: ", StringComparison.Ordinal), noticed);
        var next = Hear(first);
        yield return new("the next generation, alone", next == "0.0e+0", $"relative error {next}");
        first.WaitForExit(TimeSpan.FromSeconds(10));

        static bool IsClose(string line) =>
            double.Parse(line.Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture) < 1e-6
            && line.Contains("True", StringComparison.Ordinal);
    }

    private static Process Start(int rank, string host)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(start.FileName) == "dotnet") start.ArgumentList.Add(typeof(NcclCheck).Assembly.Location);
        start.ArgumentList.Add(NcclRank.Verb);
        start.ArgumentList.Add($"{rank}");
        (string, string)[] settings =
        [
            ("NCCL_HOSTID", host), ("NCCL_NET", "Socket"), ("NCCL_IB_DISABLE", "1"), ("NCCL_SOCKET_IFNAME", "lo"),
            ("NCCL_P2P_DISABLE", "1"), ("NCCL_SHM_DISABLE", "1"),
        ];
        foreach (var (name, value) in settings) start.Environment[name] = value;
        return Process.Start(start)!;
    }

    private static string Hear(Process rank)
    {
        while (rank.StandardOutput.ReadLine() is { } line)
            if (line.StartsWith("> ", StringComparison.Ordinal)) return line[2..]; // the rest is a library's own words
        throw new InvalidOperationException("a rank ended early; see standard error");
    }
}

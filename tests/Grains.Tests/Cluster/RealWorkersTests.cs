using Phi3VCluster.Grains.Tests.Processes;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Cluster;

public sealed class RealWorkersTests : RankWorkersContract, IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-").FullName;
    private readonly RankWorkers _workers = new(1);

    private protected override IRankWorkers Workers => _workers;

    public void Dispose()
    {
        _workers.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private protected override SeatOrder Order() => OrderOf(new TinyRuns(_folder).Spec(ranks: 2));

    private protected override SeatOrder BadOrder() =>
        OrderOf(new TinyRuns(_folder).Spec(ranks: 2) with { Model = new() { Path = "/nowhere" } });

    private SeatOrder OrderOf(RunSpec spec) => new(RunSpecJson.ToText(spec), "tcp", Path.Combine(_folder, "output", "run"));
}

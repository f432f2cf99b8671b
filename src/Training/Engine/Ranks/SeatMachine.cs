using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Engine;

/// <summary>What a node lends to its seats: devices, an address, threads.</summary>
/// <param name="host">Address under which other nodes reach this one's collectives.</param>
/// <param name="tls">For what ranks say to those of other nodes; null: in the clear.</param>
/// <param name="node">As metrics label it.</param>
/// <param name="threads">That all seats together compute with on the CPU.</param>
/// <param name="seatsOf">How many seats of a run are here.</param>
internal sealed class SeatMachine(
    Devices devices, string host, IPeerTls? tls, string node, int threads, Func<string, int> seatsOf)
{
    private static readonly TimeSpan DevicePatience = TimeSpan.FromSeconds(30);

    public string Node => node;

    /// <summary>Threads for a seat of a run: the seats share the machine's.</summary>
    public int Threads(string run) => Math.Max(1, threads / Math.Max(1, seatsOf(run)));

    /// <exception cref="InputException">Files that the spec names cannot be used here; all problems at once.</exception>
    public void CheckFiles(SeatOrder order)
    {
        LibTorch.Load();
        var problems = RunSpecFiles.Problems(RunSpecJson.FromText(order.SpecJson));
        if (problems.Count > 0) throw new InputException([.. problems.Select(p => $"{p} (on {Environment.MachineName})")]);
    }

    /// <param name="run">Whose seat it is.</param>
    /// <returns>The spec with what "auto" comes to on the device that was claimed for the seat.</returns>
    /// <exception cref="InputException">There is no such device, or it is not free.</exception>
    public RunSpec Prepare(SeatOrder order, string run, out DeviceClaim? device)
    {
        var spec = RunSpecJson.FromText(order.SpecJson);
        if (spec.Cluster.Device == "cuda" && devices.Count == 0)
            throw new InputException(
                $"cluster.device: cuda was asked for, but {Environment.MachineName} has no CUDA device; use cpu or auto.");
        device = spec.Cluster.Device == "cpu" || devices.Count == 0 ? null : devices.Claim(DevicePatience);
        return Passes(RunPrecision.Resolve(spec, device?.Index), device?.Index, seatsOf(run));
    }

    /// <param name="seats">Of the run, here.</param>
    private static RunSpec Passes(RunSpec spec, int? cudaDevice, int seats)
    {
        var (model, ranks) = (ModelSizes.Read(spec.Model.Path) ?? ModelSizes.Released, spec.Cluster.MinRanks);
        if (cudaDevice is not { } device)
            return RecomputeChoice.Resolve(spec, model, ranks, HostMemory.Available / Math.Max(1, seats), isAmpere: false);
        var (memory, isAmpere) = (Cuda.Memory(device).Free, Cuda.Capability(device).Major >= RankCompute.Ampere);
        return PassLength.OnGpu(RecomputeChoice.Resolve(spec, model, ranks, memory, isAmpere), model, ranks, memory, isAmpere);
    }

    /// <summary>An end for what seats say to each other beside the ring.</summary>
    public IPeerEndpoint OpenChannels() => new RingChannels(host, tls);

    /// <summary>An end that peers can connect to.</summary>
    public ICollectiveEndpoint Open(string collective, int? device) =>
        Catalog<ICollectiveBackend>.Find(collective, "cluster.collective").Open(host, device, tls);
}

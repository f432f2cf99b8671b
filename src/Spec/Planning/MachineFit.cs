using System.Globalization;

namespace Phi3VCluster.Spec.Planning;

/// <summary>Whether a machine has the memory and the disk that a run needs on it.</summary>
public static class MachineFit
{
    /// <summary>What ranks that compute on the CPU need in a machine's memory.</summary>
    /// <param name="ranksHere">Ranks on the machine, of <paramref name="ranks"/> in all.</param>
    /// <param name="machineBytes">All that it has.</param>
    /// <returns>Problems for what cannot fit whatever the data are, naming the settings that would.</returns>
    public static IEnumerable<string> MemoryProblems(RunSpec spec, ModelSizes model, int ranks, int ranksHere, long machineBytes)
    {
        if (spec.Precision == "auto") spec = spec with { Precision = "fp32" }; // the most that auto may come to on a CPU
        var need = CertainBytes(spec, model, ranks) * ranksHere;
        if (need <= machineBytes) yield break;
        var fits = Alternatives(spec).Where(other => CertainBytes(other.Spec, model, ranks) * ranksHere <= machineBytes)
            .Select(other => other.Words).ToList();
        if (ranksHere > 1 && CertainBytes(spec, model, 1) <= machineBytes) fits.Add("cluster.maxRanks: 1");
        yield return $"memory: {(ranksHere == 1 ? "a rank needs" : $"{ranksHere} ranks on this machine need")} "
            + $"at least {Gigabytes(need)} for weights, gradients and moments, got a machine with {Gigabytes(machineBytes)}; "
            + (fits.Count > 0 ? $"what fits: {string.Join(", or ", fits)}." : "use a machine with more memory.");
    }

    /// <summary>Bytes of what the run exports.</summary>
    /// <param name="modelFolder">The checkpoint that is written again, whole, where weights are trained.</param>
    public static long ResultBytes(RunSpec spec, ModelSizes model, string modelFolder)
    {
        if (spec.Method.Kind is "lora" or "qlora") return spec.Method.Targets is null ? 4 * model.TrainedBy(spec.Method).Count : 0;
        try
        {
            return Directory.EnumerateFiles(modelFolder, "*.safetensors").Sum(file => new FileInfo(file).Length);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return 0; // seen from elsewhere: the node that writes knows
        }
    }

    /// <summary>As far as it can be told without the weights.</summary>
    /// <inheritdoc cref="DiskNeed.Of"/>
    public static DiskNeed DiskNeedOf(RunSpec spec, ModelSizes model, long? steps)
    {
        var trained = spec.Method.Targets is null ? model.TrainedBy(spec.Method).Count : 0; // on chosen maps there are fewer
        return DiskNeed.Of(spec, ResultBytes(spec, model, spec.Model.Path), trained, steps);
    }

    /// <summary>Of the disk that a folder is or would be on; null where nobody can say.</summary>
    public static long? FreeBytes(string folder)
    {
        try
        {
            var existing = Path.GetFullPath(folder);
            while (!Directory.Exists(existing)) existing = Path.GetDirectoryName(existing)!;
            return new DriveInfo(existing).AvailableFreeSpace;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return null;
        }
    }

    /// <summary>In thousands, as memory and disks are sold.</summary>
    public static string Gigabytes(double bytes) => bytes < 1e8
        ? string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:0.0} MB")
        : string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e9:0.0} GB");

    // Adapters on chosen maps alone are smaller than on all: not counted, for what is refused must be impossible.
    private static double CertainBytes(RunSpec spec, ModelSizes model, int ranks) =>
        MemoryEstimate.Of(spec.Method.Targets is null ? spec : spec with { Method = spec.Method with { Rank = 1 } }, ranks, model).Certain;

    private static IEnumerable<(string Words, RunSpec Spec)> Alternatives(RunSpec spec)
    {
        var usual = new MethodSpec().Rank;
        if (spec.Method.Kind is "lora" or "qlora" && spec.Method.Rank > usual)
            yield return ($"method.rank: {usual}", spec with { Method = spec.Method with { Rank = usual } });
        if (spec.Precision == "fp32") yield return ("precision: bf16", spec with { Precision = "bf16" });
        foreach (var kind in (string[])["lora", "qlora"])
            if (spec.Method.Kind != "qlora" && spec.Method.Kind != kind)
                yield return ($"method.kind: {kind}", spec with { Method = spec.Method with { Kind = kind } });
        yield return ("method.kind: qlora with precision: bf16",
            spec with { Precision = "bf16", Method = spec.Method with { Kind = "qlora" } });
    }
}

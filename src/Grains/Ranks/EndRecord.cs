using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Grains.Ranks;

/// <summary>
/// <c>end.json</c> in a run's folder: how a run ended that did not come to its report. It is written on a node of the run, for the folder
/// may be on its disk alone.
/// </summary>
internal static class EndRecord
{
    public const string FileName = "end.json";

    /// <exception cref="IOException">The folder cannot be written to.</exception>
    public static void Write(RunEnd end)
    {
        Directory.CreateDirectory(end.Output);
        var spec = Path.Combine(end.Output, "run.yaml");
        if (!File.Exists(spec)) AtomicFile.Write(spec, end.Spec + "\n");
        AtomicFile.Write(Path.Combine(end.Output, FileName), end.Text + "\n");
    }
}

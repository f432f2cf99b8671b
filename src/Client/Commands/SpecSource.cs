using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

/// <summary>A run spec as a command needs it: checked whole before anything is started, with absolute paths.</summary>
internal static class SpecSource
{
    public static Argument<string> Argument() => new("SPEC") { Description = "The run spec, a YAML file." };

    public static Option<string[]> SetOption() => new("--set")
    {
        Description = "Overrides one value of the spec; may be given often.",
        HelpName = "path=value",
        DefaultValueFactory = _ => [],
    };

    /// <param name="cluster">Null for a cluster on this machine that is started later.</param>
    /// <exception cref="InputException">All that is wrong with the values, and with the files if the cluster is here.</exception>
    public static RunSpec Check(RunSpecReading reading, ClusterAddress? cluster, Output output)
    {
        var files = cluster is null or { IsThisMachine: true } ? RunSpecFiles.Problems(reading.Spec) : [];
        if (reading.Problems.Count + files.Count > 0) throw new InputException([.. reading.Problems, .. files]);
        foreach (var warning in RunSpecValidation.Warnings(reading.Spec)) output.Error($"warning: {warning}");
        return RunSpecPaths.MakeAbsolute(reading.Spec, Environment.CurrentDirectory);
    }
}

using Phi3VCluster.Training;

namespace Phi3VCluster.Bench.Gpu;

/// <summary>Something that must hold on a machine with a GPU before its numbers mean anything; a new check is a new file.</summary>
internal interface IGpuCheck : INamed
{
    /// <summary>The most informative first: the borrowed minutes may end early.</summary>
    int Order { get; }

    /// <summary>Rows as they are found out. What is thrown is a failed check, not the end of the others.</summary>
    IEnumerable<GpuRow> Run();
}

/// <param name="What">E.g. "flash attention, head size 96".</param>
/// <param name="Passed">Null where nothing is asserted: a number to know.</param>
/// <param name="Found">For people.</param>
internal sealed record GpuRow(string What, bool? Passed, string Found)
{
    /// <summary>Set by whoever runs the checks.</summary>
    public string Check { get; init; } = "";

    /// <summary>The numbers in <see cref="Found"/>, for machines.</summary>
    public IReadOnlyDictionary<string, double>? Numbers { get; init; }
}

using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>A format of data files. One file each, found by <see cref="INamed.Name"/>.</summary>
public interface IDataset : INamed
{
    /// <summary>Rows at the beginning that its users evaluate on and do not train on, unless the spec says otherwise.</summary>
    int HeldOutRows => 0;

    /// <summary>Looks at the files without reading them whole: cheap even where they are large.</summary>
    /// <param name="spec">For what it says about images, and to say which setting is wrong.</param>
    /// <param name="pathOrGlob">One of the spec's paths; the files of a glob are read in the order of their names.</param>
    /// <exception cref="InputException">No file, not readable, or not in this format; every file's problems at once.</exception>
    IDatasetReader Open(DataSpec spec, string pathOrGlob);
}

/// <summary>Random access to the samples of opened files. Thread-safe.</summary>
public interface IDatasetReader : IDisposable
{
    int Count { get; }

    /// <summary>Sample <paramref name="index"/>, from 0. Images are looked for but not decoded.</summary>
    /// <exception cref="BadRowException">The row is bad.</exception>
    /// <exception cref="InputException">The file is.</exception>
    Sample Read(int index);

    /// <summary>Where sample <paramref name="index"/> lies.</summary>
    RowPlace Place(int index);
}

/// <summary>A row of a data file, as messages count it.</summary>
/// <param name="Number">From 1 for lines, from 0 for rows.</param>
public readonly record struct RowPlace(string File, int Number, bool IsLine = false)
{
    /// <summary>What an editor shows, path:line; or path: row number.</summary>
    public override string ToString() => IsLine ? $"{File}:{Number}" : $"{File}: row {Number}";
}

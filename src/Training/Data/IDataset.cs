using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>A format of data files. One file each, found by <see cref="INamed.Name"/>.</summary>
public interface IDataset : INamed
{
    /// <summary>Looks at the files without reading them whole: cheap even where they are large.</summary>
    /// <param name="spec">For <see cref="DataSpec.ImageRoot"/>, and to say which setting is wrong.</param>
    /// <param name="pathOrGlob">One of the spec's paths; the files of a glob are read in the order of their names.</param>
    /// <exception cref="InputException">No file, not readable, or not in this format; every file's problems at once.</exception>
    IDatasetReader Open(DataSpec spec, string pathOrGlob);
}

/// <summary>Random access to the samples of opened files. Thread-safe.</summary>
public interface IDatasetReader : IDisposable
{
    int Count { get; }

    /// <summary>Sample <paramref name="index"/>, from 0. Images are looked for but not decoded.</summary>
    /// <exception cref="InputException">The row is bad; names file, row and every reason. Other rows can still be read.</exception>
    Sample Read(int index);
}

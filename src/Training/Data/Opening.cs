using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>Several files as one dataset.</summary>
internal static class Opening
{
    /// <summary>Opens every file; if any cannot be opened, closes all and says what is wrong with each.</summary>
    public static List<IDatasetReader> All(IEnumerable<string> paths, Func<string, IDatasetReader> open)
    {
        var (readers, problems) = (new List<IDatasetReader>(), new List<string>());
        foreach (var path in paths)
        {
            try
            {
                readers.Add(open(path));
            }
            catch (InputException e)
            {
                problems.AddRange(e.Problems);
            }
        }
        if (problems.Count == 0) return readers;
        readers.ForEach(reader => reader.Dispose());
        throw new InputException(problems);
    }

    /// <exception cref="InputException">There is not a single row.</exception>
    public static IDatasetReader Joined(List<IDatasetReader> readers, string where)
    {
        if (readers.Sum(reader => reader.Count) > 0) return readers.Count == 1 ? readers[0] : new JoinedReader(readers);
        readers.ForEach(reader => reader.Dispose());
        throw new InputException($"{where}: has no rows; give a file with samples.");
    }

    private sealed class JoinedReader : IDatasetReader
    {
        private readonly List<IDatasetReader> _parts;
        private readonly int[] _ends;

        public JoinedReader(List<IDatasetReader> parts)
        {
            _parts = parts;
            _ends = new int[parts.Count];
            for (var i = 0; i < parts.Count; i++) _ends[i] = Count += parts[i].Count;
        }

        public int Count { get; }

        public Sample Read(int index)
        {
            var part = Array.FindIndex(_ends, end => index < end);
            return _parts[part].Read(index - (part == 0 ? 0 : _ends[part - 1]));
        }

        public void Dispose() => _parts.ForEach(part => part.Dispose());
    }
}

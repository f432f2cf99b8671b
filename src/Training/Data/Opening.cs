using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>Several files as one dataset.</summary>
internal static class Opening
{
    /// <exception cref="InputException">No file, not a single row, or what is wrong with each file that cannot be opened.</exception>
    public static IDatasetReader Open(DataSpec spec, string pathOrGlob, Func<string, IDatasetReader> open)
    {
        var readers = All(DataFiles.Find(spec, pathOrGlob), open);
        if (readers.Sum(reader => (long)reader.Count) > 0) return readers.Count == 1 ? readers[0] : new JoinedReader(readers);
        readers.ForEach(reader => reader.Dispose());
        throw new InputException($"{DataFiles.Setting(spec, pathOrGlob)}: {pathOrGlob}: has no rows; give a file with samples.");
    }

    private static List<IDatasetReader> All(IEnumerable<string> paths, Func<string, IDatasetReader> open)
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
            var (part, row) = Find(index);
            return part.Read(row);
        }

        public RowPlace Place(int index)
        {
            var (part, row) = Find(index);
            return part.Place(row);
        }

        public void Dispose() => _parts.ForEach(part => part.Dispose());

        private (IDatasetReader Part, int Row) Find(int index)
        {
            var part = Array.FindIndex(_ends, end => index < end);
            return (_parts[part], index - (part == 0 ? 0 : _ends[part - 1]));
        }
    }
}

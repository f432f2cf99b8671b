namespace Phi3VCluster.Training.Snapshots;

/// <summary>All of a state but tensors, as one who held it knows it.</summary>
/// <param name="Stage">What comes next, as a number: of two that stand at one step, the one with the higher is further.</param>
/// <param name="Scalars">As text.</param>
/// <param name="History">Makes the text of the step records.</param>
public sealed record StateMetadata(int Stage, string Scalars, Func<string> History);

/// <summary>What of a version is held.</summary>
/// <param name="Stage">Of the words; null where only parts are held.</param>
/// <param name="WorldSize">Ranks that the version is cut for.</param>
/// <param name="Ranks">Whose parts are held, ascending.</param>
public sealed record HeldVersion(StateVersion Version, int? Stage, int WorldSize, IReadOnlyList<int> Ranks);

/// <summary>
/// What a seat holds in host memory of a run's sharded state: its own parts and those of the ranks whose buddy it is, by version. Nothing
/// is in it that is not whole. Thread-safe: what is read is copied out, so whatever is dropped may go at once.
/// </summary>
public sealed class SnapshotBook : IDisposable
{
    private const int MostFree = 2;

    private readonly Lock _gate = new();
    private readonly SortedDictionary<StateVersion, Entry> _versions = [];
    private readonly List<ShardMemory> _free = []; // of dropped parts: memory that was touched before is faster
    private bool _isClosed;

    /// <summary>Parts of generations before this one are nobody's any more.</summary>
    public long OldestGeneration { get; set; }

    /// <summary>Ascending.</summary>
    public IReadOnlyList<HeldVersion> Held
    {
        get
        {
            lock (_gate)
                return [.. _versions.Select(one => one.Value.As(one.Key))];
        }
    }

    /// <summary>Host memory that parts take, those that wait for use too.</summary>
    public long Bytes
    {
        get
        {
            lock (_gate) return _versions.Values.SelectMany(entry => entry.Parts.Values).Concat(_free).Sum(memory => memory.Bytes);
        }
    }

    /// <summary>Memory for a part, with whatever was in it; to be given to <see cref="Keep"/> or <see cref="GiveBack"/>.</summary>
    public ShardMemory Rent(long elements)
    {
        lock (_gate)
        {
            if (_free.Find(memory => memory.Elements == elements) is { } known)
            {
                _free.Remove(known);
                return known;
            }
        }
        return new(elements);
    }

    public void GiveBack(ShardMemory memory)
    {
        lock (_gate) Free(memory);
    }

    /// <summary>Takes a part over. One that is held already stays as it is.</summary>
    /// <returns>False where nobody needs it: it belongs to a generation that is over.</returns>
    public bool Keep(StateVersion version, int rank, int worldSize, ShardMemory memory)
    {
        lock (_gate)
        {
            if (_isClosed || version.Generation < OldestGeneration)
            {
                Free(memory);
                return false;
            }
            if (!EntryOf(version, worldSize).Parts.TryAdd(rank, memory)) Free(memory);
            return true;
        }
    }

    /// <summary>Says what goes with a version; said again, by one who is further.</summary>
    public void Describe(StateVersion version, int worldSize, StateMetadata metadata)
    {
        lock (_gate) EntryOf(version, worldSize).Metadata = metadata;
    }

    public bool Holds(StateVersion version, int rank)
    {
        lock (_gate) return _versions.TryGetValue(version, out var entry) && entry.Parts.ContainsKey(rank);
    }

    public StateMetadata? MetadataOf(StateVersion version)
    {
        lock (_gate) return _versions.TryGetValue(version, out var entry) ? entry.Metadata : null;
    }

    /// <returns>Elements of a rank's part; null where it is not held.</returns>
    public long? ElementsOf(StateVersion version, int rank)
    {
        lock (_gate) return Find(version, rank)?.Elements;
    }

    /// <summary>Copies a range of one of a part's three arrays.</summary>
    /// <returns>False where it is not held, or no more.</returns>
    public bool TryCopy(StateVersion version, int rank, int part, long offset, Span<byte> to)
    {
        lock (_gate)
        {
            if (Find(version, rank) is not { } memory || offset < 0 || offset + (to.Length / sizeof(float)) > memory.Elements) return false;
            memory.Of(part, offset, to.Length / sizeof(float)).CopyTo(to);
            return true;
        }
    }

    /// <summary>
    /// The run goes on from a version: later ones are history that has not been. It and earlier ones stay until one after it counts: a part
    /// of it may be here alone, those of the last one that counted are with two.
    /// </summary>
    /// <param name="from">Null where it is in no book.</param>
    public void Restored(StateVersion? from) => Drop(version => from is null || version.CompareTo(from.Value) > 0);

    /// <summary>Every part of a version is with two seats: those before it are of no more use.</summary>
    public void Counted(StateVersion version) => Drop(older => older.CompareTo(version) < 0);

    private void Drop(Predicate<StateVersion> which)
    {
        lock (_gate)
        {
            foreach (var version in _versions.Keys.Where(version => which(version)).ToList())
            {
                foreach (var memory in _versions[version].Parts.Values) Free(memory);
                _versions.Remove(version);
            }
        }
    }

    public void Dispose()
    {
        lock (_gate) _isClosed = true;
        Drop(_ => true);
        lock (_gate)
        {
            _free.ForEach(memory => memory.Dispose());
            _free.Clear();
        }
    }

    private ShardMemory? Find(StateVersion version, int rank) =>
        _versions.TryGetValue(version, out var entry) && entry.Parts.TryGetValue(rank, out var memory) ? memory : null;

    private Entry EntryOf(StateVersion version, int worldSize)
    {
        if (!_versions.TryGetValue(version, out var entry)) _versions.Add(version, entry = new(worldSize));
        return entry;
    }

    private void Free(ShardMemory memory)
    {
        if (!_isClosed) _free.Add(memory);
        else memory.Dispose();
        if (_free.Count <= MostFree) return;
        _free[0].Dispose();
        _free.RemoveAt(0);
    }

    private sealed class Entry(int worldSize)
    {
        public int WorldSize => worldSize;
        public SortedDictionary<int, ShardMemory> Parts { get; } = [];
        public StateMetadata? Metadata { get; set; }

        public HeldVersion As(StateVersion version) => new(version, Metadata?.Stage, WorldSize, [.. Parts.Keys]);
    }
}

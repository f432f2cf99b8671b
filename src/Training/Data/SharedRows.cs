namespace Phi3VCluster.Training.Data;

/// <summary>
/// Opened and checked rows, one for all who open the same at the same time: the ranks of a node would each unpack the same parquet files.
/// Closed when the last of them is done. Thread-safe.
/// </summary>
internal sealed class SharedRows
{
    private static readonly Dictionary<string, SharedRows> Opened = [];

    private static readonly TimeSpan LookAtStop = TimeSpan.FromMilliseconds(100);

    private readonly string _key;
    private readonly Lock _opening = new();
    private DatasetSlice? _slice;
    private int _users, _done, _total;

    private SharedRows(string key) => _key = key;

    public DatasetSlice Slice => _slice!;

    /// <param name="key">Equal for equal rows.</param>
    /// <param name="open">
    /// Called by the first, with what to tell of rows done and rows in all; the others wait for it, and the next one tries where it failed.
    /// </param>
    /// <param name="progress">Told so by whoever opens, and while this one waits for it.</param>
    /// <param name="stop">Ends the wait for another one's opening.</param>
    public static SharedRows Take(
        string key, Func<Action<int, int>, DatasetSlice> open, Action<int, int>? progress = null, CancellationToken stop = default)
    {
        SharedRows? rows;
        lock (Opened)
        {
            if (!Opened.TryGetValue(key, out rows)) Opened.Add(key, rows = new(key));
            rows._users++;
        }
        try
        {
            while (!rows._opening.TryEnter(LookAtStop))
            {
                stop.ThrowIfCancellationRequested();
                progress?.Invoke(Volatile.Read(ref rows._done), Volatile.Read(ref rows._total));
            }
            try
            {
                rows._slice ??= open((done, total) =>
                {
                    Volatile.Write(ref rows._total, total);
                    Volatile.Write(ref rows._done, done);
                    progress?.Invoke(done, total);
                });
            }
            finally
            {
                rows._opening.Exit();
            }
            return rows;
        }
        catch
        {
            rows.Release();
            throw;
        }
    }

    public void Release()
    {
        lock (Opened)
        {
            if (--_users > 0) return;
            Opened.Remove(_key);
        }
        _slice?.Dispose();
    }
}

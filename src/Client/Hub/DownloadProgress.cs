using System.Collections.Concurrent;

namespace Phi3VCluster.Client.Hub;

/// <summary>How far a download is: moved by those who fetch, read by who shows it.</summary>
/// <param name="say">A line for a person, from any thread.</param>
internal sealed class DownloadProgress(Action<string> say)
{
    private readonly ConcurrentDictionary<HubFile, long> _reached = new();
    private readonly ConcurrentDictionary<HubFile, bool> _active = new();
    private long _received;

    /// <summary>What was said last; null: nothing yet.</summary>
    public string? LastSaid { get; private set; }

    /// <summary>Bytes that are on disk, those of earlier commands too.</summary>
    public long DoneBytes => _reached.Values.Sum();

    /// <summary>Bytes that came over the network.</summary>
    public long ReceivedBytes => Interlocked.Read(ref _received);

    /// <summary>What is being worked on, and how far each is.</summary>
    public IReadOnlyList<(HubFile File, long Reached)> Active =>
        [.. _active.Keys.Select(f => (f, _reached.GetValueOrDefault(f))).OrderBy(row => row.f.Path, StringComparer.Ordinal)];

    public void Say(string line)
    {
        LastSaid = line;
        say(line);
    }

    public void Begin(HubFile file) => _active[file] = true;

    public void End(HubFile file) => _active.TryRemove(file, out _);

    /// <param name="length">Bytes of it on disk.</param>
    public void Reached(HubFile file, long length) => _reached[file] = length;

    public void Received(HubFile file, long length, int bytes)
    {
        _reached[file] = length;
        Interlocked.Add(ref _received, bytes);
    }
}

using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Checks;

/// <summary>
/// The place where runs' results go, as this node sees it. A token is left there for the other nodes to find, until this is disposed.
/// </summary>
internal sealed class ResultsDisk : IDisposable
{
    private readonly Lock _writing = new();
    private string? _token;
    private bool _isOver;

    /// <param name="folder">Need not be there yet; of its parents the first that is decides.</param>
    public DiskFinding Look(string folder)
    {
        var existing = Path.GetFullPath(folder);
        while (!Path.Exists(existing)) existing = Path.GetDirectoryName(existing)!;
        if (File.Exists(existing)) return new(0, null, $"{existing} is a file");
        try
        {
            return new(new DriveInfo(existing).AvailableFreeSpace, Leave(existing), null);
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            return new(0, null, $"{existing} cannot be written to");
        }
    }

    public void Dispose()
    {
        lock (_writing)
        {
            _isOver = true;
            if (_token is not null) File.Delete(_token);
        }
    }

    /// <summary>Nothing is left by a look that a slow disk has delayed until nobody waits for it.</summary>
    private string? Leave(string folder)
    {
        lock (_writing)
        {
            if (_isOver) return null;
            _token = Path.Combine(folder, $".phi3v-check-{Guid.NewGuid():N}");
            File.Create(_token).Dispose();
            return _token;
        }
    }
}

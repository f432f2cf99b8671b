namespace Phi3VCluster.Grains.Nodes;

/// <summary>Something that is done each period, or sooner when somebody asks for it.</summary>
internal sealed class Signal
{
    private readonly SemaphoreSlim _soon = new(0);

    public void Raise() => _soon.Release();

    /// <summary>Until somebody asks for it or the time is over; all who asked by then are answered at once.</summary>
    /// <returns>False if the service stops.</returns>
    public async Task<bool> WaitAsync(TimeSpan period, CancellationToken stop)
    {
        try
        {
            await _soon.WaitAsync(period, stop);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
        while (_soon.CurrentCount > 0) await _soon.WaitAsync(CancellationToken.None);
        return true;
    }
}

using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Cluster;

/// <summary>
/// What a check asks of one node. No question takes longer than the patience, whatever becomes of the node: one that was once not answered
/// is asked nothing more, and <see cref="Silence"/> says why.
/// </summary>
internal sealed class NodeCalls(IGrainFactory grains, string node, TimeSpan patience)
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan EndPatience = TimeSpan.FromSeconds(1);

    private const int Keys = 10;

    private INodeCheckGrain? _grain;

    public string Name => node;

    /// <summary>Why it is asked nothing more; null while it answers.</summary>
    public string? Silence { get; private set; }

    /// <summary>The first call.</summary>
    /// <exception cref="OperationCanceledException">The user has interrupted.</exception>
    public async Task FindAsync(CancellationToken interrupted)
    {
        try
        {
            _grain = await OtherKeys.AskAsync(KnockAsync, Keys, patience, interrupted);
        }
        catch (Exception error) when (!interrupted.IsCancellationRequested)
        {
            Silence = Said(error);
        }
    }

    /// <returns>Null where the node does not answer.</returns>
    /// <exception cref="OperationCanceledException">The user has interrupted.</exception>
    public async Task<T?> AskAsync<T>(Func<INodeCheckGrain, Task<T>> question, CancellationToken interrupted) where T : class
    {
        if (Silence is not null || _grain is null) return null;
        try
        {
            return await question(_grain).WaitAsync(patience, interrupted);
        }
        catch (Exception error) when (!interrupted.IsCancellationRequested)
        {
            Silence = Said(error);
        }
        return null;
    }

    /// <summary>The node forgets the check; one that is not told does so after a minute.</summary>
    public async Task EndAsync()
    {
        if (_grain is null || Silence is not null) return;
        await _grain.EndAsync().WaitAsync(EndPatience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task<INodeCheckGrain> KnockAsync()
    {
        var grain = grains.GetNodeCheck(Guid.NewGuid(), node);
        await grain.ClockAsync();
        return grain;
    }

    private string Said(Exception error) => error switch
    {
        TimeoutException => $"does not answer within {patience.TotalSeconds} s",
        ArgumentException => "is of a build without these checks", // no silo has the grain's type
        _ => $"does not answer: {error.Message.Split('\n')[0].TrimEnd('.', '\r')}",
    };
}

namespace Phi3VCluster.Client.Cluster;

/// <summary>
/// The cluster looks up where an activation is at a node that its key's hash decides. Where that one hangs so does the question; asked of a
/// grain with another key, it finds its way.
/// </summary>
internal static class OtherKeys
{
    /// <param name="ask">With a key of its own each time.</param>
    /// <param name="most">Keys, spread over the time.</param>
    /// <param name="patience">For all of them together.</param>
    /// <param name="interrupted">By the user.</param>
    /// <returns>The first answer.</returns>
    /// <exception cref="TimeoutException">None came in time.</exception>
    /// <exception cref="OperationCanceledException">The user has interrupted.</exception>
    /// <exception cref="Exception">What the cluster said twice: the first may be of a node that died while it was asked.</exception>
    public static async Task<T> AskAsync<T>(Func<Task<T>> ask, int most, TimeSpan patience, CancellationToken interrupted)
    {
        var (tries, isSecond) = (new List<Task<T>>(), false);
        for (var i = 0; i < most; i++)
        {
            tries.Add(ask());
            var round = Task.Delay(patience / most, interrupted);
            if (await Task.WhenAny([.. tries, round]) is not Task<T> ended)
            {
                await round;
                continue;
            }
            if (ended.IsCompletedSuccessfully || isSecond) return await ended;
            tries.Remove(ended);
            isSecond = true;
        }
        throw new TimeoutException($"no answer in {patience.TotalSeconds} s");
    }
}

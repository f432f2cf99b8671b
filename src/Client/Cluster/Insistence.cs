using System.Diagnostics;

namespace Phi3VCluster.Client.Cluster;

/// <summary>
/// Asks what may be asked twice until there is an answer: the silo that was to answer may be lost, and what it held is found on another
/// some seconds later. A question that was lost with it is told of only by its own timeout, so the next is asked before that, and the first
/// answer to any counts.
/// </summary>
/// <param name="again">After so long without an answer.</param>
/// <param name="pause">After a refusal.</param>
/// <param name="most">For how long refusals are no reason to give up.</param>
internal sealed class Insistence(TimeSpan again, TimeSpan pause, TimeSpan most)
{
    /// <param name="question">Ends by itself: a <see cref="TimeoutException"/> of the first is the cluster's silence.</param>
    /// <param name="mayPass">Whether another answer may come after such a failure.</param>
    /// <exception cref="Exception">What the last question failed with, or any with what does not pass.</exception>
    public async Task<T> AskAsync<T>(Func<Task<T>> question, Func<Exception, Task<bool>> mayPass)
    {
        var (began, asked) = (Stopwatch.GetTimestamp(), new List<Task<T>>());
        while (true)
        {
            asked.Add(question());
            var next = Task.Delay(again);
            while (await Task.WhenAny([.. asked, next]) is var ended && ended != next)
            {
                var answer = (Task<T>)ended;
                if (answer.IsCompletedSuccessfully || !await MayPassAsync(answer)) return await answer;
                asked.Remove(answer);
                if (asked.Count == 0) next = Task.Delay(pause);
            }
        }

        async Task<bool> MayPassAsync(Task failed) =>
            failed.Exception?.InnerException is { } error and not TimeoutException
                && Stopwatch.GetElapsedTime(began) < most && await mayPass(error);
    }
}

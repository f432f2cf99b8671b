using System.Globalization;
using Phi3VCluster.Client.App;

namespace Phi3VCluster.Client.Hub;

/// <summary>
/// Does again what failed and may pass, after longer and longer waits, or after the wait that the server asks for. As long as it gets
/// further each time, it goes on.
/// </summary>
/// <param name="say">Told of every wait, so that nobody thinks that nothing goes on.</param>
internal sealed class Retries(HubTiming timing, Action<string> say)
{
    public const int MostTries = 8; // without getting further: a minute and a half

    private static readonly TimeSpan First = TimeSpan.FromSeconds(1), Longest = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan LongestAsked = TimeSpan.FromMinutes(5); // the hub counts requests over so long

    /// <param name="what">For the messages.</param>
    /// <param name="reached">How far it has got; more than ever before makes the tries count anew.</param>
    /// <exception cref="CommandFailedException">It did not pass.</exception>
    public async Task<T> RunAsync<T>(string what, Func<Task<T>> attempt, Func<long> reached, CancellationToken cancelled)
    {
        var furthest = reached();
        for (var failures = 0; ;)
        {
            try
            {
                return await attempt();
            }
            catch (PassingException error)
            {
                (failures, furthest) = reached() > furthest ? (1, reached()) : (failures + 1, furthest);
                if (failures == MostTries)
                    throw new CommandFailedException(
                        $"{what}: {error.Message}, {MostTries} times in a row; what has arrived is kept, so try again later.");
                var wait = WaitAfter(failures, error.Wait);
                say(string.Create(CultureInfo.InvariantCulture, $"{what}: {error.Message}; going on in {wait.TotalSeconds:0.#} s"));
                await timing.Delay(wait, cancelled);
            }
        }
    }

    // A wait that was asked for is kept to, and stretched a little where all were asked at once.
    private TimeSpan WaitAfter(int failures, TimeSpan? asked)
    {
        if (asked is { } time) return (time < LongestAsked ? time : LongestAsked) + First * timing.Chance();
        var full = First * Math.Pow(2, failures - 1);
        return (full < Longest ? full : Longest) * (0.5 + 0.5 * timing.Chance());
    }
}

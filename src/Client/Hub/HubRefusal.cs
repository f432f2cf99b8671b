using System.Net;
using System.Text.RegularExpressions;
using Phi3VCluster.Client.App;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Hub;

/// <summary>What an answer that is not the wanted one means, and what the user can do about it.</summary>
internal static partial class HubRefusal
{
    private const int LongestQuote = 200;
    private const string Token = HubEndpoint.TokenVariable;

    /// <param name="what">What was asked for.</param>
    /// <param name="own">Whether the hub itself answers, and not a host that it sent us to.</param>
    public static Exception Of(HttpResponseMessage answer, string what, bool own, HubRepo repo, HubEndpoint endpoint, HubTiming timing)
    {
        var status = (int)answer.StatusCode;
        if (status is 408 or 425 or 429 or >= 500)
            return new PassingException($"the server answers {status}", AskedWait(answer, timing.Clock));
        if (!own) return new PassingException($"{answer.RequestMessage?.RequestUri?.Host}, where the file is kept, answers {status}");
        var (name, got) = (repo.Name, $"got {status} {(endpoint.Token is null ? "without a token" : "with a token")}");
        return (status, Header(answer, "X-Error-Code")) switch
        {
            (_, "GatedRepo") => Input($"{name}: its owner asks for consent first, {got}; " +
                $"accept the terms at {endpoint.At(repo.PagePath)}, then set {Token} to a token of that account."),
            (_, "RevisionNotFound") =>
                Input($"--revision: {name} has no such revision, got {repo.Revision}; give a branch, a tag or a commit."),
            (404, "EntryNotFound") => new FileFailedException($"the hub does not have it any more, got {status}"),
            (401, not "RepoNotFound") when endpoint.Token is not null =>
                Input($"{Token}: the hub does not accept the token, got {status}; make a new one at {endpoint.At("/settings/tokens")}."),
            (401 or 404, _) => Input($"{name}: the hub has no such {repo.KindWord}, or it is private, {got}; " +
                $"check the name, or set {Token} to a token that may read it."),
            (403, _) => Input($"{name}: the hub refuses access, {got}{Quote(answer)}; set {Token} to a token that may read it."),
            _ => new CommandFailedException($"{what}: the hub answers {status}{Quote(answer)}."),
        };
    }

    private static InputException Input(string problem) => new(problem);

    private static TimeSpan? AskedWait(HttpResponseMessage answer, TimeProvider clock)
    {
        var asked = answer.Headers.RetryAfter is { } after
            ? after.Delta ?? after.Date - clock.GetUtcNow()
            : SecondsToReset().Match(Header(answer, "RateLimit") ?? "") is { Success: true } reset
                ? TimeSpan.FromSeconds(int.Parse(reset.Groups["seconds"].ValueSpan)) : null;
        return asked < TimeSpan.Zero ? TimeSpan.Zero : asked;
    }

    // The server's words, on one line and without what would steer the terminal.
    private static string Quote(HttpResponseMessage answer) => Header(answer, "X-Error-Message") is { Length: > 0 } text
        ? $" ({new string([.. text.Where(c => !char.IsControl(c)).Take(LongestQuote)])})" : "";

    private static string? Header(HttpResponseMessage answer, string name) =>
        answer.Headers.TryGetValues(name, out var values) ? values.First() : null;

    /// <summary>"api";r=0;t=55: nothing is left of the requests allowed, and 55 s until they are counted anew.</summary>
    [GeneratedRegex(@";\s*t=(?<seconds>\d{1,6})")]
    private static partial Regex SecondsToReset();
}

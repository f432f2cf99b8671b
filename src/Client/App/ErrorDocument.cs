namespace Phi3VCluster.Client.App;

/// <summary>What <c>--json</c> prints of a command that failed before it had a result: the same sentences are on stderr.</summary>
/// <param name="Error">What was wrong.</param>
internal sealed record ErrorDocument(ErrorDetail Error)
{
    public static ErrorDocument Of(int exitCode, IReadOnlyList<string> problems) =>
        new(new ErrorDetail(exitCode, string.Join('\n', problems), problems));
}

/// <param name="Message">All problems, a line each.</param>
internal sealed record ErrorDetail(int ExitCode, string Message, IReadOnlyList<string> Problems);

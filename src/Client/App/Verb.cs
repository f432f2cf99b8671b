using System.CommandLine;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.App;

/// <summary>One verb of the CLI: its options, its example, and how its errors become messages and exit codes.</summary>
internal abstract class Verb : Command
{
    private readonly Option<bool> _json = new("--json") { Description = "One JSON document on stdout; messages go to stderr." };

    /// <param name="example">A command line that works as it stands.</param>
    protected Verb(string name, string description, string example) : base(name, description)
    {
        Example = example;
        Options.Add(_json);
        SetAction((parsed, _) => RunGuardedAsync(parsed));
    }

    public string Example { get; }

    /// <summary>Whether the command is over when the <c>dotnet run</c> that started it ends.</summary>
    protected virtual bool EndsWithDotnetRun => true;

    /// <summary>Whether the command is over when nobody reads its output any more: one that only shows what goes on elsewhere.</summary>
    protected virtual bool EndsWithReader => false;

    protected abstract Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted);

    private async Task<int> RunGuardedAsync(ParseResult parsed)
    {
        using var interrupt = new Interrupt(EndsWithDotnetRun, EndsWithReader);
        var output = new Output(parsed.GetValue(_json));
        try
        {
            return await RunAsync(parsed, output, interrupt.Token);
        }
        catch (InputException error)
        {
            return output.Fail(ExitCode.BadInput, [.. error.Problems]);
        }
        catch (NoClusterException error)
        {
            return output.Fail(ExitCode.NoCluster, error.Message);
        }
        catch (OperationCanceledException) when (interrupt.Token.IsCancellationRequested)
        {
            return output.Fail(ExitCode.Interrupted, "interrupted.");
        }
        catch (Exception error) when (error is CommandFailedException or IOException or UnauthorizedAccessException)
        {
            return output.Fail(ExitCode.Failed, error.Message);
        }
    }
}

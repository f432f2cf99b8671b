namespace Phi3VCluster.Client.App;

/// <summary>What scripts may rely on.</summary>
internal static class ExitCode
{
    public const int Done = 0;
    /// <summary>The run or the check failed, or was cancelled.</summary>
    public const int Failed = 1;
    public const int BadInput = 2;
    public const int NoCluster = 3;
    /// <summary>The user ended the command; as shells say it of Ctrl-C.</summary>
    public const int Interrupted = 130;
}

/// <summary>Nobody answers: exit code 3.</summary>
internal sealed class NoClusterException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>The command could not do its work: exit code 1.</summary>
internal sealed class CommandFailedException(string message) : Exception(message);

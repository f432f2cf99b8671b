namespace Phi3VCluster.Client.Hub;

/// <summary>What may pass: trying again is worth it.</summary>
/// <param name="wait">How long the server asks to wait; null if it does not say.</param>
internal sealed class PassingException(string message, TimeSpan? wait = null) : Exception(message)
{
    public TimeSpan? Wait => wait;
}

/// <summary>The bytes are not those of the file: what has come of it is worthless.</summary>
internal sealed class WrongContentException(string message) : Exception(message);

/// <summary>This file cannot be had; the others may.</summary>
internal sealed class FileFailedException(string message) : Exception(message);

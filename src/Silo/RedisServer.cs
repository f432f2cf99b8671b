using Phi3VCluster.Spec;
using StackExchange.Redis;

namespace Phi3VCluster.Silo;

/// <summary>
/// The Redis of a cluster: its address, and who we are to it. The password comes from a file, for everybody sees arguments.
/// </summary>
internal static class RedisServer
{
    /// <exception cref="InputException">The address or the password's file cannot be read.</exception>
    public static ConfigurationOptions Connection(SiloSettings settings)
    {
        ConfigurationOptions options;
        try
        {
            options = ConfigurationOptions.Parse(settings.Redis!);
        }
        catch (ArgumentException e)
        {
            throw new InputException($"--redis: must be host:port, got '{Shown(settings.Redis!)}' ({e.Message}); correct it.");
        }
        if (settings.RedisUser is { } user) options.User = user;
        if (settings.RedisPasswordFile is { } file) options.Password = Password(file);
        return options;
    }

    /// <summary>Asked before the silo starts, which would retry and log for pages.</summary>
    /// <exception cref="InputException">There is no Redis at that address, or it lets us not in.</exception>
    public static async Task RequireAsync(SiloSettings settings)
    {
        var options = Connection(settings);
        try
        {
            await using var connection = await ConnectionMultiplexer.ConnectAsync(options);
            await connection.GetDatabase().PingAsync(); // to connect is allowed to everybody
        }
        catch (Exception e) when (Refusal(e) is { } refusal)
        {
            throw new InputException($"--redis: the Redis at '{Shown(settings.Redis!)}' refuses {Who(settings)} ({refusal}); "
                + "correct --redis-user and --redis-password-file.");
        }
        catch (RedisException)
        {
            throw new InputException(
                $"--redis: no Redis answers at '{Shown(settings.Redis!)}'; start it, or correct the address, host:port.");
        }
    }

    private static string Password(string file)
    {
        string text;
        try
        {
            text = File.ReadAllText(file).TrimEnd('\r', '\n');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException(
                $"--redis-password-file: cannot be read, got {file}: {e.Message} Give the file that holds the password.");
        }
        return text.Length > 0
            ? text
            : throw new InputException($"--redis-password-file: must hold a password, got the empty file {file}; write it there.");
    }

    private static string Who(SiloSettings settings) =>
        (settings.RedisUser is { } user ? $"the user '{user}'" : "the default user")
        + (settings.RedisPasswordFile is null ? " without a password" : "");

    /// <returns>What Redis answered to name and password; null if it was about something else.</returns>
    private static string? Refusal(Exception? error) => error switch
    {
        null => null,
        RedisConnectionException { FailureType: ConnectionFailureType.AuthenticationFailure } when Code(error.Message) is null =>
            "it asks for another password",
        RedisException => Code(error.Message) ?? Refusal(error.InnerException),
        _ => null,
    };

    private static string? Code(string message) =>
        Array.Find((string[])["NOAUTH", "WRONGPASS", "NOPERM"], code => message.Contains(code, StringComparison.Ordinal));

    /// <summary>Without what may follow the address, a password among it.</summary>
    private static string Shown(string redis) => redis.Split(',')[0];
}

using Phi3VCluster.Spec;
using StackExchange.Redis;

namespace Phi3VCluster.Silo;

/// <summary>
/// The Redis of a cluster: its address, and who we are to it. The password comes from a file, for everybody sees arguments.
/// </summary>
internal static class RedisServer
{
    /// <param name="settings">Of this silo.</param>
    /// <param name="refused">Told why the Redis's certificate is not believed.</param>
    /// <exception cref="InputException">The address or a file cannot be read.</exception>
    public static ConfigurationOptions Connection(SiloSettings settings, Action<string>? refused = null)
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
        RedisTls.Prepare(options, settings, refused);
        return options;
    }

    /// <summary>Asked before the silo starts, which would retry and log for pages.</summary>
    /// <exception cref="InputException">There is no Redis at that address, or it lets us not in.</exception>
    public static async Task RequireAsync(SiloSettings settings)
    {
        var disbelief = default(string);
        var options = Connection(settings, reason => disbelief = reason);
        try
        {
            await using var connection = await ConnectionMultiplexer.ConnectAsync(options);
            await connection.GetDatabase().PingAsync(); // to connect is allowed to everybody
        }
        catch (RedisException) when (disbelief is not null)
        {
            throw new InputException($"--redis: the Redis at '{Shown(settings.Redis!)}' is not believed: {disbelief}; "
                + (settings.RedisAuthority is null ? "give the authority of its certificate" : "correct the authority")
                + ", --redis-authority, or ask whoever runs it.");
        }
        catch (Exception e) when (Refusal(e, options.Ssl) is { } refusal)
        {
            throw new InputException($"--redis: the Redis at '{Shown(settings.Redis!)}' refuses {Who(settings)} ({refusal}); "
                + "correct --redis-user and --redis-password-file.");
        }
        catch (RedisException)
        {
            throw new InputException($"--redis: no Redis answers{(options.Ssl ? " by TLS" : "")} at '{Shown(settings.Redis!)}'; start it, "
                + "or correct the address, host:port" + (options.Ssl
                    ? "; one that asks for certificates of its clients takes --tls-certificate only of an authority that it knows."
                    : "."));
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
    private static string? Refusal(Exception? error, bool hasTls) => error switch
    {
        null => null,
        // Without TLS only a password can be wrong; with it, a handshake too.
        RedisConnectionException { FailureType: ConnectionFailureType.AuthenticationFailure } when !hasTls && Code(error.Message) is null =>
            "it asks for another password",
        RedisException => Code(error.Message) ?? Refusal(error.InnerException, hasTls),
        _ => null,
    };

    private static string? Code(string message) =>
        Array.Find((string[])["NOAUTH", "WRONGPASS", "NOPERM"], code => message.Contains(code, StringComparison.Ordinal));

    /// <summary>Without what may follow the address, a password among it.</summary>
    public static string Shown(string redis) => redis.Split(',')[0];
}

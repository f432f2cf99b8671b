using System.Globalization;
using Garnet;
using Garnet.common;
using Microsoft.Extensions.Logging;
using Phi3VCluster.Spec;

namespace Phi3VCluster.LocalStore;

/// <summary>
/// A server of Redis's protocol for one machine. What it has answered to is in its log on the disk: one that is killed and started again
/// has all of it.
/// </summary>
internal sealed class Store : IDisposable
{
    private readonly FileStream _lock;
    private readonly GarnetServer _server;
    private readonly int _port;

    /// <exception cref="InputException">The folder cannot be used, or another store uses it.</exception>
    public Store(int port, string folder)
    {
        _port = port;
        try
        {
            Directory.CreateDirectory(folder);
            _lock = new FileStream(Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException(
                $"--data: the folder {folder} cannot be used, got: {e.Message} Stop the store that uses it, or choose another folder.");
        }
        Console.SetOut(TextWriter.Null); // a banner in colours
        _server = new GarnetServer(Options(port, folder), LoggerFactory.Create(logging => logging.SetMinimumLevel(LogLevel.Warning)
            .AddFilter("ArgParser", LogLevel.Error) // it warns that the log is ours
            .AddSimpleConsole(options => (options.SingleLine, options.TimestampFormat) = (true, "HH:mm:ss.fff "))
            .AddConsole(options => options.LogToStandardErrorThreshold = LogLevel.Trace)));
    }

    /// <summary>Reads what an earlier one left and takes connections.</summary>
    /// <exception cref="InputException">The port is in use.</exception>
    public void Start()
    {
        try
        {
            _server.Start();
        }
        catch (GarnetException e)
        {
            throw new InputException($"--port: cannot be listened at, got {_port} ({(e.InnerException ?? e).Message}); choose another.");
        }
    }

    public void Dispose()
    {
        _server.Dispose();
        _lock.Dispose();
    }

    private static string[] Options(int port, string folder) =>
    [
        "--bind", "127.0.0.1", "--port", port.ToString(CultureInfo.InvariantCulture),
        "--lua", "--lua-transaction-mode", // Orleans compares etags in scripts
        "--memory", "64m", "--page", "1m", "--index", "1m", // membership and the state of runs are kilobytes
        "--storage-tier", "--logdir", folder, // what is more goes to the disk; without, it would be forgotten
        "--checkpointdir", folder, "--recover",
        "--aof", "--aof-commit-wait", // what was answered is written: a silo and the store may die together
        "--aof-memory", "16m", "--aof-page-size", "4m", "--aof-segment-size", "64m",
        "--checkpoint-freq", "600", // seconds; what the checkpoint holds is cut from the log
        "--device-type", "RandomAccess", // .NET's own file access: the native one is looked for where only a portable build has it
    ];
}

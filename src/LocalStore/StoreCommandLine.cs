using System.CommandLine;
using Phi3VCluster.Spec;

namespace Phi3VCluster.LocalStore;

/// <summary>The store's options. Exit codes: 0 stopped as asked, 1 it broke, 2 the input is wrong.</summary>
internal static class StoreCommandLine
{
    private static readonly Option<int> Port = new("--port")
    {
        Description = "Port of 127.0.0.1 that the silos connect to; other machines reach it on none.",
        HelpName = "port",
        Required = true,
    };

    private static readonly Option<string> Data = new("--data")
    {
        Description = "Folder that keeps what is written; a store that is started again finds it there.",
        HelpName = "folder",
        Required = true,
    };

    private static readonly Option<string> ReadyFile = new("--ready-file")
    {
        Description = "File to write once the store takes connections: JSON of process_id.",
        HelpName = "path",
        Required = true,
    };

    public static async Task<int> RunAsync(string[] args)
    {
        var root = new RootCommand("phi3v-store: what the silos of one machine share in place of a Redis. It ends with its standard input.")
        {
            Port, Data, ReadyFile,
        };
        root.SetAction(Run);
        var parsed = root.Parse(args);
        if (parsed.Errors.Count == 0) return await parsed.InvokeAsync(new() { EnableDefaultExceptionHandler = false });
        foreach (var error in parsed.Errors) await Console.Error.WriteLineAsync(error.Message);
        return 2;
    }

    private static int Run(ParseResult parsed)
    {
        try
        {
            using var store = new Store(parsed.GetValue(Port), Path.GetFullPath(parsed.GetValue(Data)!));
            store.Start();
            WriteReady(parsed.GetValue(ReadyFile)!);
            UntilStandardInputEnds();
            return 0;
        }
        catch (InputException error)
        {
            foreach (var problem in error.Problems) Console.Error.WriteLine(problem);
            return 2;
        }
    }

    private static void WriteReady(string path) => AtomicFile.Write(path, $$"""{"process_id": {{Environment.ProcessId}}}""" + "\n");

    /// <summary>The kernel closes the other end however its owner dies, kill -9 included.</summary>
    private static void UntilStandardInputEnds()
    {
        using var input = Console.OpenStandardInput();
        var ignored = new byte[256];
        while (input.Read(ignored) > 0) { }
    }
}

using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Spectre.Console;

namespace Phi3VCluster.Client.App;

/// <summary>Where a command writes: text and tables on stdout; with <c>--json</c>, one document there, text on stderr.</summary>
internal sealed class Output(bool json)
{
    private const int WidthOfFiles = 200; // a table in a file or a pipe must not be folded at a terminal's 80

    private static readonly JsonSerializerOptions SnakeCase = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals, // a diverged loss is NaN and must not hide the rest
        WriteIndented = true,
    };

    public bool Json => json;

    /// <summary>Whether somebody watches: progress may then be drawn over itself.</summary>
    public bool IsLive { get; } = !json && !Console.IsOutputRedirected;

    /// <summary>For tables and bars; sentences and paths go to <see cref="Line"/>, which does not fold them.</summary>
    public IAnsiConsole Screen { get; } = Create();

    /// <summary>A line for a person.</summary>
    public void Line(string text) => (json ? Console.Error : Console.Out).WriteLine(text);

    /// <summary>What goes on meanwhile, for a command whose stdout is its answer alone.</summary>
    public static void Note(string text) => Console.Error.WriteLine(text);

    public void Error(string text) => Console.Error.WriteLine($"phi3v: {text}");

    /// <summary>The command's result, in the form that was asked for.</summary>
    public void Result(object document, Action<Output> show)
    {
        if (json) Console.Out.WriteLine(JsonSerializer.Serialize(document, SnakeCase));
        else show(this);
    }

    private static IAnsiConsole Create()
    {
        var screen = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Out) });
        if (Console.IsOutputRedirected) screen.Profile.Width = WidthOfFiles;
        return screen;
    }
}

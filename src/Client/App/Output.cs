using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Phi3VCluster.Client.Views;
using Spectre.Console;

namespace Phi3VCluster.Client.App;

/// <summary>Where a command writes: text and tables on stdout; with <c>--json</c>, one document there, text on stderr.</summary>
internal sealed class Output(bool json)
{
    /// <summary>What an error begins with.</summary>
    public const string Prefix = "phi3v: ";

    private const int WidthOfFiles = 10_000; // what goes to a file or a pipe is not folded
    private const int UsualWidth = 80;

    private static readonly JsonSerializerOptions SnakeCase = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals, // a diverged loss is NaN and must not hide the rest
        WriteIndented = true,
    };

    private bool _hasResult;

    public bool Json => json;

    /// <summary>Whether somebody watches: progress may then be drawn over itself.</summary>
    public bool IsLive => !json && !Console.IsOutputRedirected && Screen.Profile.Capabilities.Ansi;

    public bool HasColors => Screen.Profile.Capabilities.ColorSystem != ColorSystem.NoColors;

    /// <summary>Whether somebody watches stderr, where notes go.</summary>
    public static bool NotesAreLive { get; } =
        !Console.IsErrorRedirected && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb");

    /// <summary>Of the terminal there is, whatever stdout is.</summary>
    public int TerminalWidth => Console.IsOutputRedirected ? WidthOfStderr() : Width;

    /// <summary>Columns of the terminal; asked anew each time, for it may be resized.</summary>
    public int Width => Console.IsOutputRedirected ? WidthOfFiles : Math.Max(1, Screen.Profile.Width);

    /// <summary>For tables and bars; sentences and paths go to <see cref="Line"/>, which does not fold them.</summary>
    public IAnsiConsole Screen { get; } = Create();

    /// <summary>A sentence for a person, broken between words where the terminal ends.</summary>
    public void Sentence(string text) => Line(Sentences.Fold(text, Width));

    /// <summary>A line for a person.</summary>
    public void Line(string text) => (json ? Console.Error : Console.Out).WriteLine(text);

    /// <summary>What goes on meanwhile, for a command whose stdout is its answer alone.</summary>
    public static void Note(string text) => Console.Error.WriteLine(text);

    public void Error(string text) => Console.Error.WriteLine(Prefix + text);

    /// <summary>The command could not do its work; with <c>--json</c> and no result yet, that is the document.</summary>
    /// <returns>The exit code.</returns>
    public int Fail(int exitCode, params IReadOnlyList<string> problems)
    {
        foreach (var problem in problems) Error(problem);
        if (json && !_hasResult) Result(ErrorDocument.Of(exitCode, problems), _ => { });
        return exitCode;
    }

    /// <summary>The command's result, in the form that was asked for.</summary>
    public void Result(object document, Action<Output> show)
    {
        _hasResult = true;
        if (json) Console.Out.WriteLine(JsonSerializer.Serialize(document, SnakeCase));
        else show(this);
    }

    private static int WidthOfStderr()
    {
        try
        {
            return Console.WindowWidth is var width and > 0 ? width : UsualWidth;
        }
        catch (IOException)
        {
            return UsualWidth;
        }
    }

    private static IAnsiConsole Create()
    {
        var screen = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Out) });
        if (Console.IsOutputRedirected) screen.Profile.Width = WidthOfFiles;
        return screen;
    }
}

using System.Text;
using Phi3VCluster.Client.App;

namespace Phi3VCluster.Client.Views;

/// <summary>
/// The last lines of a terminal, drawn over themselves; lines that last go above them. Own, because the library's live view leaves the
/// rest of its old lines beside what is written meanwhile.
/// </summary>
/// <param name="to">The terminal's stream; null for stdout.</param>
internal sealed class LiveRegion(Output output, TextWriter? to = null)
{
    private const char Escape = '\e';

    private readonly Lock _gate = new();
    private readonly TextWriter _to = to ?? Console.Out;
    private string[] _drawn = [];

    /// <summary>Puts these lines in place of those there are. Each is cut at the terminal's width; colours may be in them.</summary>
    public void Draw(IEnumerable<string> lines)
    {
        lock (_gate)
        {
            var width = output.TerminalWidth - 1; // the last column of a full line wraps on some terminals
            string[] next = [.. lines.Select(line => Cut(line, width))];
            if (next.SequenceEqual(_drawn)) return;
            _to.Write(Erase() + string.Join('\n', next));
            _drawn = next;
        }
    }

    /// <summary>Writes a line that stays, above the region.</summary>
    public void Print(string line)
    {
        lock (_gate) _to.Write($"{Erase()}{line}\n{string.Join('\n', _drawn)}");
    }

    /// <summary>Leaves nothing of the region.</summary>
    public void Clear()
    {
        lock (_gate)
        {
            _to.Write(Erase());
            _drawn = [];
        }
    }

    // A terminal that has become narrower since has folded the lines: as many rows are gone back.
    private string Erase()
    {
        if (_drawn.Length == 0) return "";
        var width = Math.Max(1, output.TerminalWidth);
        var rows = _drawn.Sum(line => Math.Max(1, (Length(line) + width - 1) / width));
        return rows > 1 ? $"\r{Escape}[{rows - 1}A{Escape}[J" : $"\r{Escape}[J";
    }

    private static int Length(string line) => Cut(line, int.MaxValue, keepColors: false).Length;

    /// <summary>The first <paramref name="width"/> characters that are seen, with the colours in between.</summary>
    private static string Cut(string line, int width, bool keepColors = true)
    {
        var (text, seen) = (new StringBuilder(), 0);
        for (var i = 0; i < line.Length; i++)
        {
            if (line[i] == Escape)
            {
                var end = line.IndexOf('m', i);
                if (keepColors) text.Append(line, i, end - i + 1);
                i = end;
            }
            else if (++seen <= width) text.Append(line[i]);
        }
        return text.ToString();
    }
}

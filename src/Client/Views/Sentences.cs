using System.Text;

namespace Phi3VCluster.Client.Views;

/// <summary>Breaks sentences between words.</summary>
internal static class Sentences
{
    /// <summary>A word that is longer than a line is left whole: it may be a path.</summary>
    public static string Fold(string text, int width)
    {
        var (folded, column) = (new StringBuilder(), 0);
        foreach (var word in text.Split(' '))
        {
            if (column > 0 && column + 1 + word.Length > width)
            {
                folded.Append('\n');
                column = 0;
            }
            else if (column > 0)
            {
                folded.Append(' ');
                column++;
            }
            folded.Append(word);
            column += word.Length;
        }
        return folded.ToString();
    }
}

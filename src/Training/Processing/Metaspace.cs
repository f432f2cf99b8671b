namespace Phi3VCluster.Training.Processing;

/// <summary>Which pieces of a text get a mark in front where they have none.</summary>
internal enum PrependScheme
{
    Never,

    /// <summary>The one that the text begins with.</summary>
    First,

    /// <summary>Each, also behind an added token.</summary>
    Always,
}

/// <summary>
/// The step that newer files have in place of a normaliser's Prepend and Replace: blanks become marks. Unlike those, it puts none in front
/// of a text that begins with a blank, nor, as <see cref="PrependScheme.First"/>, behind an added token.
/// </summary>
/// <param name="Splits">Words end at every mark, so that no merge reaches over it.</param>
internal sealed record Metaspace(string Mark, PrependScheme Scheme, bool Splits)
{
    public IEnumerable<string> Words(string piece, bool isFirst)
    {
        var marked = piece.Replace(" ", Mark, StringComparison.Ordinal);
        var prepends = Scheme == PrependScheme.Always || (Scheme == PrependScheme.First && isFirst);
        if (prepends && !marked.StartsWith(Mark, StringComparison.Ordinal)) marked = Mark + marked;
        if (!Splits)
        {
            yield return marked;
            yield break;
        }
        for (int start = 0, end; start < marked.Length; start = end)
        {
            var next = marked.IndexOf(Mark, start + 1, StringComparison.Ordinal);
            end = next < 0 ? marked.Length : next;
            yield return marked[start..end];
        }
    }

    public string Undone(string token, bool isFirst) =>
        token.Replace(Mark, isFirst && Scheme != PrependScheme.Never ? "" : " ", StringComparison.Ordinal);
}

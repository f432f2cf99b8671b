namespace Phi3VCluster.Spec;

/// <summary>What a mistyped word may have been meant to be.</summary>
public static class Nearest
{
    private const int ShortWord = 4; // two edits make something else of it

    /// <summary>What a message says of a word that is none of a few: which was meant, or, where that is not plain, all of them.</summary>
    public static string Advice(string got, IReadOnlyCollection<string> known) =>
        To(got, known) is { } meant ? $"did you mean {meant}?" : $"choose one of {string.Join(", ", known)}.";

    /// <summary>The candidate that fewest edits turn <paramref name="word"/> into; none, when all are too far to be meant.</summary>
    public static string? To(string word, IEnumerable<string> candidates)
    {
        var mostEdits = word.Length <= ShortWord ? 1 : Math.Max(2, word.Length / 3);
        var (best, bestEdits) = ((string?)null, mostEdits + 1);
        foreach (var candidate in candidates)
        {
            var edits = Edits(word.ToLowerInvariant(), candidate.ToLowerInvariant());
            if (edits < bestEdits && edits < candidate.Length) (best, bestEdits) = (candidate, edits);
        }
        return best;
    }

    /// <summary>Levenshtein distance, with the swap of two neighbours as one edit (optimal string alignment).</summary>
    private static int Edits(string from, string to)
    {
        var cost = new int[from.Length + 1, to.Length + 1];
        for (var i = 0; i <= from.Length; i++) cost[i, 0] = i;
        for (var j = 0; j <= to.Length; j++) cost[0, j] = j;
        for (var i = 1; i <= from.Length; i++)
            for (var j = 1; j <= to.Length; j++)
            {
                var replace = cost[i - 1, j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
                cost[i, j] = Math.Min(replace, 1 + Math.Min(cost[i - 1, j], cost[i, j - 1]));
                if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
                    cost[i, j] = Math.Min(cost[i, j], 1 + cost[i - 2, j - 2]);
            }
        return cost[from.Length, to.Length];
    }
}

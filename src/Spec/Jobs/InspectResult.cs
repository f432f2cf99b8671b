namespace Phi3VCluster.Spec.Jobs;

/// <summary>What is in a dataset.</summary>
public sealed record InspectResult
{
    /// <summary>Good and bad ones.</summary>
    public required int Rows { get; init; }
    public required int BadRows { get; init; }
    /// <summary>The bad rows, the first of them where they are many.</summary>
    public required IReadOnlyList<InspectedBadRow> Bad { get; init; }
    /// <summary>Good rows that are text alone.</summary>
    public required int RowsWithoutImages { get; init; }
    /// <summary>What the good rows hold and may not be meant, a sentence each.</summary>
    public IReadOnlyList<string> Remarks { get; init; } = [];
    public required GoodRows Good { get; init; }
    /// <summary>Texts were not tokenised, their length was estimated.</summary>
    public required bool TokensAreEstimated { get; init; }
    /// <summary>Longest sequence a row was held against, in tokens.</summary>
    public required int Context { get; init; }
    public required int NumCrops { get; init; }
    /// <summary>A PNG file's bytes; null where none was asked for or no good row has an image.</summary>
    public required byte[]? Sheet { get; init; }
    /// <summary>Pictures on it.</summary>
    public required int Pages { get; init; }
    public required double Seconds { get; init; }
}

/// <param name="Row">The line, from 1, or the row, from 0, of <paramref name="File"/>.</param>
/// <param name="Place">Both, as messages write them.</param>
/// <param name="Index">From 0 over all rows of all files.</param>
public sealed record InspectedBadRow(string File, int Row, string Place, int Index, string Reason);

/// <summary>What the rows hold that are not bad.</summary>
public sealed record GoodRows
{
    public required int Questions { get; init; }
    public required int Images { get; init; }
    /// <summary>Of a row when it is trained, with its longest answers; null where there is none.</summary>
    public required Spread? Tokens { get; init; }
    public required IReadOnlyList<TokenBin> Histogram { get; init; }
    /// <summary>Most frequent first, the first of them where they are many.</summary>
    public required IReadOnlyList<ImageSizeCount> ImageSizes { get; init; }
    public required int DistinctImageSizes { get; init; }
    public required InspectedAnswers Answers { get; init; }
}

/// <param name="Median">Between the two in the middle where the count is even.</param>
/// <param name="P95">The smallest that 95 % do not exceed.</param>
public sealed record Spread(int Min, double Median, int P95, int Max);

/// <summary>Rows of <paramref name="From"/> to <paramref name="To"/> tokens, both included.</summary>
public sealed record TokenBin(int From, int To, int Rows);

/// <summary>Images of one size, upright, and what the image processor makes of each.</summary>
public sealed record ImageSizeCount(int Width, int Height, int Count, int CropColumns, int CropRows, int Tokens);

/// <param name="Distinct">Of those of up to 200 characters; 100,000 at most are told apart.</param>
/// <param name="Characters">Lengths; null where there are no answers.</param>
public sealed record InspectedAnswers(int Count, int Distinct, Spread? Characters, IReadOnlyList<AnswerCount> MostFrequent);

/// <summary>How often an answer is given.</summary>
public sealed record AnswerCount(string Answer, int Count);

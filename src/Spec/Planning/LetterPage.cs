namespace Phi3VCluster.Spec.Planning;

/// <summary>The sample that plans count with: a question about one page of letter size.</summary>
/// <param name="Tokens">Of the whole sample.</param>
/// <param name="Crops">Pictures of 336 pixels that the tower sees, the whole page among them.</param>
public sealed record LetterPage(double Tokens, double Crops)
{
    private const int UsualCrops = 16;
    private const double Ratio = 2200.0 / 1700;
    /// <summary>DocVQA's mean sample with 16 crops beside the image tokens of a letter page: some pages are smaller.</summary>
    private const double MeanTokens = 2443, LetterTokens = 2509;

    /// <param name="numCrops">As <see cref="ModelSpec.NumCrops"/>; null counts as 16.</param>
    public static LetterPage Of(int? numCrops)
    {
        var (most, rows) = (numCrops ?? UsualCrops, 1);
        while ((rows + 1) * Math.Ceiling((rows + 1) / Ratio) <= most) rows++; // the image processor's rule
        var crops = rows * Math.Ceiling(rows / Ratio);
        return new(Math.Round(((crops + 1) * 144 + 1 + (rows + 1) * 12) * MeanTokens / LetterTokens), crops + 1);
    }

    /// <summary>Of one forward pass.</summary>
    public int PagesAPass(BatchSpec batch) => batch.Micro ?? (int)Math.Max(1, (batch.MicroTokens ?? BatchSpec.CpuTokens) / Tokens);
}

using System.Globalization;
using System.Text.Json.Serialization;
using Phi3VCluster.Spec.Planning;

namespace Phi3VCluster.Training.Engine;

/// <summary>A figure as it was planned, and as it came.</summary>
/// <param name="Unit">bytes, s, images/s or ratio.</param>
/// <param name="Planned">For the pages that <c>phi3v plan</c> counts with; null where no plan is known.</param>
/// <param name="ForItsSamples">For the samples that the run had.</param>
/// <param name="Measured">Null where it cannot be told.</param>
internal sealed record PlanRow(string What, string Unit, double? Planned, double? ForItsSamples, double? Measured)
{
    /// <summary>Of what was measured from the nearest plan; null where one of them is not known.</summary>
    public double? Difference => Measured - (ForItsSamples ?? Planned);

    public string ToMarkdown() => $"| {What} | {Text(Planned)} | {Text(ForItsSamples)} | {Text(Measured)} | {Signed(Difference)} |";

    /// <summary>Of the difference, whichever way.</summary>
    [JsonIgnore]
    public string Size => Text(Difference is { } difference ? Math.Abs(difference) : null);

    private string Signed(double? value) => value is null ? "-" : $"{(value < 0 ? "−" : "+")}{Text(Math.Abs(value.Value))}";

    private string Text(double? value) => value is not { } known ? "-" : Unit switch
    {
        "bytes" => MachineFit.Gigabytes(known),
        "ratio" => known.ToString("p1", CultureInfo.InvariantCulture),
        "s" => known < 1
            ? string.Create(CultureInfo.InvariantCulture, $"{1000 * known:0.0} ms")
            : string.Create(CultureInfo.InvariantCulture, $"{known:0.000} s"),
        _ => known.ToString("0.00", CultureInfo.InvariantCulture),
    };
}

using System.Text.Json.Nodes;

namespace Phi3VCluster.Training.Tests.Model;

/// <summary>
/// One of the reference's image files. Where decoders may differ in colour rounding (the reference says so), the pixels it decoded itself.
/// </summary>
internal sealed class ReferenceImage(string name) : IImageSource
{
    public string Description => name;

    public byte[] Read() => File.ReadAllBytes(ReferenceFolder.PathOf("processor", Decoded() ?? Path.Combine("images", name)));

    private string? Decoded() => JsonNode.Parse(File.ReadAllBytes(ReferenceFolder.PathOf("processor", "cases.json")))!.AsArray()
        .Where(one => (string)one!["image"]! == name && one["decode_tolerance_levels"] is not null)
        .Select(one => (string?)one!["decoded_png"]).FirstOrDefault();
}

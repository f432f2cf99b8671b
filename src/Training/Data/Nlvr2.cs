using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// The <c>nlvr2</c> part of <see cref="Cauldron"/>: statements about a pair of pictures, true or not; the pictures come with a row's first
/// text, its further ones are turns without.
/// </summary>
internal sealed class Nlvr2 : IDataset
{
    public string Name => "nlvr2";
    public int HeldOutRows => 500;

    public IDatasetReader Open(DataSpec spec, string pathOrGlob) =>
        Cauldron.Open(spec, pathOrGlob, SampleKind.Questions,
            (texts, images) => texts.Select((text, place) => text.With(place == 0 ? images : [])));
}

using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>The <c>docvqa</c> part of <see cref="Cauldron"/>: several questions about a page, of which one is drawn each epoch.</summary>
internal sealed class CauldronDocVqa : IDataset
{
    public string Name => "cauldron-docvqa";

    public IDatasetReader Open(DataSpec spec, string pathOrGlob) =>
        Cauldron.Open(spec, pathOrGlob, SampleKind.Alternatives, (texts, images) => texts.Select(text => text.With(images)));
}

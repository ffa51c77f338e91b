//! What only the pointer in S3 does.

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::*;
use crate::place::Place;

pub(super) fn pointer() -> (Arc<InMemory>, S3Pointer) {
    let store = Arc::new(InMemory::new());
    let place = Place::new(Arc::clone(&store) as _, Path::from("base"), "/l");
    (store, S3Pointer::new(place))
}

#[tokio::test]
async fn the_object_beside_the_metadata_says_its_name_without_the_ending() {
    let (store, pointer) = pointer();
    let name = "00007-4f6f1a52-6f3e-4a46-9ef8-d37f8e5c86a5";
    pointer.swap(ITEMS, None, &at(ITEMS, name)).await.unwrap();
    let path = Path::from("base/warehouse/earthcatalog/stac_items/metadata/version-hint.text");
    let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes, name);
    // As others may have written it.
    for (hint, file) in [
        ("3", "v3"),
        ("x.metadata.json\n", "x"),
        ("00003-y", "00003-y"),
    ] {
        store.put(&path, hint.into()).await.unwrap();
        let now = pointer.load(ITEMS).await.unwrap().unwrap();
        assert_eq!(now.location, at(ITEMS, file));
    }
    for hint in ["", "../../other/metadata/0", "two\nlines"] {
        store.put(&path, hint.into()).await.unwrap();
        let error = pointer.load(ITEMS).await.unwrap_err();
        assert_eq!(
            (error.effect(), error.class()),
            (Effect::None, Class::Denied),
            "{hint:?}"
        );
    }
}

#[tokio::test]
async fn a_pointer_leads_to_its_own_tables_metadata_only() {
    let (_, pointer) = pointer();
    let elsewhere = [
        at(TableName::AssetRows, "0"),
        at(ITEMS, "below/0"),
        at(ITEMS, ""),
        "/l/warehouse/earthcatalog/stac_items/metadata/0.json".to_owned(),
        "/other/warehouse/earthcatalog/stac_items/metadata/0.metadata.json".to_owned(),
    ];
    for location in elsewhere {
        let error = pointer.swap(ITEMS, None, &location).await.unwrap_err();
        assert_eq!(
            (error.effect(), error.class()),
            (Effect::None, Class::Bug),
            "{location}"
        );
    }
    assert_eq!(pointer.load(ITEMS).await.unwrap(), None);
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_found_out() {
    let (store, pointer) = pointer();
    pointer.probe().await.unwrap();
    pointer.probe().await.unwrap();
    let objects = store
        .list_with_delimiter(Some(&Path::from("base/warehouse")))
        .await;
    assert_eq!(objects.unwrap().objects.len(), 1);
    for ignores in [Ignores::Create, Ignores::Update] {
        let store = Arc::new(Careless {
            store: InMemory::new(),
            ignores,
        });
        let pointer = S3Pointer::new(Place::new(store, Path::default(), "/l"));
        let error = pointer.probe().await.unwrap_err();
        assert!(
            matches!(error, PointerError::Unconditional { .. }),
            "{error}"
        );
        assert_eq!(error.class(), Class::Denied);
    }
}

/// The first answer is lost on its way, as a timeout would have it; the client asks again by itself.
#[tokio::test]
async fn a_swap_that_is_refused_because_of_itself_has_taken_effect() {
    let store = Arc::new(Careless {
        store: InMemory::new(),
        ignores: Ignores::FirstAnswer,
    });
    let pointer = S3Pointer::new(Place::new(store, Path::default(), "/l"));
    for (expected, name) in [(false, "0"), (true, "1")] {
        let old = pointer.load(ITEMS).await.unwrap();
        assert_eq!(old.is_some(), expected);
        let swap = pointer
            .swap(ITEMS, old.as_ref(), &at(ITEMS, name))
            .await
            .unwrap();
        assert_eq!(swap, Swap::Swapped);
        let now = pointer.load(ITEMS).await.unwrap().unwrap();
        assert_eq!(now.location, at(ITEMS, name));
    }
}

/// What a store does amiss.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ignores {
    Create,
    Update,
    /// It does what it is asked twice, and gives the second answer.
    FirstAnswer,
}

#[derive(Debug)]
struct Careless {
    store: InMemory,
    ignores: Ignores,
}

impl std::fmt::Display for Careless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

#[async_trait]
impl ObjectStore for Careless {
    async fn put_opts(
        &self,
        location: &Path,
        payload: object_store::PutPayload,
        mut options: object_store::PutOptions,
    ) -> object_store::Result<object_store::PutResult> {
        use object_store::PutMode;
        match (self.ignores, &options.mode) {
            (Ignores::Create, PutMode::Create) | (Ignores::Update, PutMode::Update(_)) => {
                options.mode = PutMode::Overwrite;
            }
            (Ignores::FirstAnswer, _) => {
                let first = self
                    .store
                    .put_opts(location, payload.clone(), options.clone());
                first.await?;
            }
            _ => {}
        }
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: object_store::PutMultipartOptions,
    ) -> object_store::Result<Box<dyn object_store::MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: object_store::GetOptions,
    ) -> object_store::Result<object_store::GetResult> {
        self.store.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: futures::stream::BoxStream<'static, object_store::Result<Path>>,
    ) -> futures::stream::BoxStream<'static, object_store::Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(
        &self,
        prefix: Option<&Path>,
    ) -> futures::stream::BoxStream<'static, object_store::Result<object_store::ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(
        &self,
        prefix: Option<&Path>,
    ) -> object_store::Result<object_store::ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: object_store::CopyOptions,
    ) -> object_store::Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}
